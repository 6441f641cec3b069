"""Any conversation with a model that has a chat form, beside translation."""
