"""The model on the device: export and the runtime that scores raw events."""
