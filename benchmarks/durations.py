"""Durations of sections that were measured before the page recorded them, in seconds.

Estimates from the CPU seconds of the fits on the page, with 5 s for the start of each process. A section that is
measured again records how long it took, and its estimate is not used any more.
"""

ESTIMATES: dict[str, float] = {
    "protocol": 30,
    "ridge": 10,
    "phase": 150,
    "ensemble": 1600,
    "throughput": 850,
    "overhead": 400,
    "delta_rule": 300,
    "shakespeare": 300,
    "words": 500,
    "recall": 660,
    "sudoku": 1080,
    "trajectories": 270,
    "cold_start": 180,
    "raw_rows": 60,
    "gcn_speed": 160,
    "node_classification": 1250,
    "full_batch_loop": 80,
    "link_prediction": 170,
    "graph_classification": 165,
    "neighbor_sampling": 100,
    "sweep_overhead": 150,
    "sweep_speed": 530,
    "sweep_kills": 440,
    "sweep_choice": 700,
    "sweep_gain": 400,
    "first_answer": 15,
    "half_states": 300,
    "registry": 100,
    "score_table": 40,
    "score_cores": 100,
    "score_ray": 120,
    "encoder_variants": 60,
    "trained_variants": 600,
    "point_in_time": 120,
    "materialize": 180,
    "online_read": 240,
}
