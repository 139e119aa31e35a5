"""Scores of a campaign's predictions and progress, and the alarms and stop rules that rest on them.

Predictions are scored on measurements that came after them, so never on what a model was fitted to. Standard
deviations are those of a measurement: they include the oracle's noise. Importing these modules loads neither torch nor
ray; ``metrics.hypervolume`` loads BoTorch when it is called.

Modules:
    metrics: numbers of a round's report: top-k, diversity, scaffolds, rank correlation, fronts, hypervolume.
    predictions: past predictions, matched with the measurements that followed.
    round_summary: the report of one round.
    scores: accuracy and calibration of predictions.
    recalibration: the factor by which predicted standard deviations are corrected.
    alarms: warnings about predictions, diversity and progress.
    forecast: the improvement that a batch is expected to bring.
    stopping: the rules that end a campaign early.
"""
