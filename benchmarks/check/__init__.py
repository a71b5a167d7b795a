"""Figure sheets of `opu device check`: an optical device (`figure`), a weight bank (`bank_figure`)."""
