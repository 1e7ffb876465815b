"""Training job: a fit (or a sweep and a fit) and an export, as a process of its own.

`python -m lightning_app.retraining.training_job FOLDER` reads `FOLDER/job.json`, and writes `FOLDER/result.json`.
"""
