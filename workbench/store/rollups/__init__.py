"""Roll-ups: samples by minute, hour and day, kept by the keeper beside the samples they were made of."""
