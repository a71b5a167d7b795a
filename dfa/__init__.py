"""Direct feedback alignment: networks trained with the optical random projection as feedback."""
