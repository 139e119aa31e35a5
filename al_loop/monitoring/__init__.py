"""Scores of a campaign's predictions and progress, and the alarms and stop rules based on them.

Predictions are scored on later measurements, never on the data to which a model was fitted. Standard deviations are
those of a measurement: they include the oracle's noise. Importing these modules loads neither torch nor ray;
``metrics.hypervolume`` loads BoTorch when it is called.

Modules:
    metrics: numbers of a round's report: top-k, diversity, scaffolds, rank correlation, fronts, hypervolume.
    predictions: past predictions, matched with the measurements that followed.
    round_summary: the report of one round.
    scores: accuracy and calibration of predictions.
    recalibration: the correction factor of predicted standard deviations.
    alarms: warnings about predictions, diversity and progress.
    forecast: the expected improvement from a batch.
    stopping: the rules that end a campaign early.
"""
