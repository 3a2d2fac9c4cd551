"""What a simulated world is made of: time, network, disks, processes, and chance from a seed."""
