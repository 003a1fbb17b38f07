"""Pure planning: placement, rendering, differences, rollout. No effects, no clock, no randomness."""
