"""Where sound goes: a device, or a simulated one."""
