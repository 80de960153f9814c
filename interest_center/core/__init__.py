"""What every room speaks of: events, ids, state layout, record bytes, protocols and errors."""
