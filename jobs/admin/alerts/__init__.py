"""The pages of alerts: incidents, rules, channels and deliveries."""
