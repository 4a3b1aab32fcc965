"""What a change costs, judged so that it can be believed: compare, gate, trend.

Exact counters (round trips, statements, blocks, WAL, plans) are compared as they are;
times only between two versions that ran interleaved on one server, beside a control.
"""
