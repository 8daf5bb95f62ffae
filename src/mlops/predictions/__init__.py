"""The prediction log of the services read back, and labels joined to it by id."""
