"""AUROC, FPR95 and average precision by scikit-learn: one line of JSON in, one out.

    python tests/oracle/eval_metrics.py < CASES > RESULTS

A case is {"id": [...], "ood": [...]}. fpr95: at the highest threshold that keeps at least 95 % of ID. Needs numpy and scikit-learn.
"""

import json
import sys

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve


def measured(known, unknown):
    scores = np.r_[known, unknown]
    labels = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    fpr_ood, tpr_ood, _ = roc_curve(1 - labels, -scores, drop_intermediate=False)
    at = np.argmax(tpr >= 0.95)
    return {
        "auroc": roc_auc_score(labels, scores),
        "fpr95": fpr[at],
        "tpr": tpr[at],
        "fpr95_oodpos": fpr_ood[np.argmax(tpr_ood >= 0.95)],
        "aupr_in": average_precision_score(labels, scores),
        "aupr_out": average_precision_score(1 - labels, -scores),
    }


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(measured(case["id"], case["ood"])))
