"""EventBridge: what happened, told to whoever asked for it by rule; and what is to happen by the clock."""
