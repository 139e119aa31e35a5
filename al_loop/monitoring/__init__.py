"""How well the models predict, and when to raise an alarm or stop."""
