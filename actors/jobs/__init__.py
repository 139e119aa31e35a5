"""Submit campaigns as Ray jobs, and stop them."""
