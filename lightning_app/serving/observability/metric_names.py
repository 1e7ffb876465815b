"""Names of the metrics with what they measure, and the bounds of the histograms."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

HELP = {
    "lightning_app_requests": "Requests by status of the answer; without a model where none was found.",
    "lightning_app_request_duration_seconds": "From the arrival of a request to its answer.",
    "lightning_app_rows": "Rows that were answered.",
    "lightning_app_batch_rows": "Rows of one call of the model.",
    "lightning_app_queue_seconds": "Time that the first request of a batch waited for it.",
    "lightning_app_inference_seconds": "Duration of one call of the model.",
    "lightning_app_queued_requests": "Requests that still waited when the last batch was taken.",
    "lightning_app_in_flight_requests": "Requests that have arrived and are not answered yet.",
    "lightning_app_sessions": "Streams whose state is kept.",
    "lightning_app_cache_requests": "Requests that looked into the cache, by result.",
    "lightning_app_feedback": "Outcomes and rewards by what was done with them, e.g. stored, expired or conflict.",
    "lightning_app_model_info": "1 for each version that is served.",
    "lightning_app_reloads": "Versions that were to be loaded while the server runs, by result.",
    "lightning_app_registry_reachable": "1 if the registry answered when it was last asked.",
    "lightning_app_version_refused": "1 while the alias of a model points to a version that could not be loaded.",
    "lightning_app_breaker_state": "Whether an arm is asked: 0 closed, 1 half-open, 2 open (in the worst worker).",
    "lightning_app_degraded": "Answers that are not those of the arm that was chosen, by reason.",
    "lightning_app_hanging_calls": "Calls of a model that did not end and were given up.",
    "lightning_app_keys_refused": "Requests refused for their API key, by reason.",
    "lightning_app_journal_commit_seconds": "Duration of one commit of the journal.",
    "lightning_app_journal_up": "1 if the last commit of the journal succeeded in every worker.",
    "lightning_app_journal_predictions": "Predictions by where they were written: journal or spill.",
    "lightning_app_journal_pending_predictions": "Predictions that are in spill files and not yet in the journal.",
    "lightning_app_journal_shadows": "Answers of shadows: written, or lost because too many waited.",
    "lightning_app_log_lines_dropped": "Log lines dropped because standard error did not take them.",
    "lightning_app_traced_requests_dropped": "Requests whose spans the collector did not take.",
    "lightning_app_workers": "Workers that answer requests.",
    "lightning_app_worker_starts": "Worker processes that were started.",
    "lightning_app_worker_process": "Process id of a worker.",
    "lightning_app_start_time_seconds": "When the oldest live worker started, Unix seconds.",
    "lightning_app_build_info": "Version of the server.",
}
