"""Makes the objective of an algorithm from its settings: the only list of those that train by gradients."""

from __future__ import annotations

from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.divide_mix import DivideMixObjective
from penchant.weak.semi_supervised.fix_match import FixMatchObjective
from penchant.weak.semi_supervised.label_vectors import LabelVectorsObjective
from penchant.weak.semi_supervised.mean_teacher import MeanTeacherObjective
from penchant.weak.semi_supervised.objective import Objective
from penchant.weak.semi_supervised.settings import (
    Algorithm,
    DivideMix,
    FixMatch,
    LabelVectors,
    MeanTeacher,
    Supervised,
    Uda,
)
from penchant.weak.semi_supervised.supervised import SupervisedObjective
from penchant.weak.semi_supervised.uda import UdaObjective


def make_objective(settings: Algorithm, network: Network, rows: ArmRows, steps: int) -> Objective:
    """Return the algorithm with a network and rows in hand.

    Raises:
        InputError: a network that it cannot train.
    """
    match settings:
        case Supervised():
            return SupervisedObjective(settings, network, rows, steps)
        case MeanTeacher():
            return MeanTeacherObjective(settings, network, rows, steps)
        case FixMatch():
            return FixMatchObjective(settings, network, rows, steps)
        case Uda():
            return UdaObjective(settings, network, rows, steps)
        case DivideMix():
            return DivideMixObjective(settings, network, rows, steps)
        case LabelVectors():
            return LabelVectorsObjective(settings, network, rows, steps)
