"""The state engine of the User Interest Center: events in, constant-size interest states out."""
