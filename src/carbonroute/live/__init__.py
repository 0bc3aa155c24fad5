"""Live control: the policy of a scenario on real traffic, by carbon feeds, metrics and actuators.

Needs the packages of the extra ``carbonroute[live]``. It sees no engine.
"""
