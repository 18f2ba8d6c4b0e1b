"""Programs that measure one case in one fresh process on a device."""
