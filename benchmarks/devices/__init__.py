"""`opu bench devices`: one network through several devices, measured (`measure`) and drawn (`figure`)."""
