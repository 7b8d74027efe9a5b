"""How a pretraining run is doing: metrics, alarms, samples, page, card."""
