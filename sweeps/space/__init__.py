"""Space of a sweep: parameters, bounds and conditions."""
