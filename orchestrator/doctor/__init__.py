"""The doctor: looks at everything that can be wrong with a node, one look a function, and changes nothing.

The daemon asks it for `GET /v1/doctor`; where no daemon answers, `sagactl doctor` asks it itself. Each look gives
findings; what it cannot look at is a finding too, never an exception.
"""
