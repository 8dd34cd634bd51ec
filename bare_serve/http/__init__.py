"""What every version of HTTP shares, without I/O."""
