"""Champion against challenger on live traffic: watched at any time, with direction and guardrails."""
