"""Are the answers still right: the same inputs through the reference and through a device."""
