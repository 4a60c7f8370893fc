"""How a foreign clickstream maps onto our events."""
