"""Errors and a warning of the package; array arguments of wrong shape, dtype or value raise a plain ValueError."""


class ConfigError(ValueError):
    """A configuration that cannot be used: one line naming file, key, value and what is allowed."""


class DeviceError(RuntimeError):
    """Something this device cannot do: it is not open, or the DMD or the sensor is too small."""


class DeviceWarning(UserWarning):
    """The device works, but not as it should: too much light, or too little."""
