"""Time series tables: regularisation, calendar, and windows, in training and in packages."""
