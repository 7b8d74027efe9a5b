"""ElectraModel and ElectraFor*: the encoder, a head and a loss, with transformers' calls.

Each takes either a grid, `model(input_ids, attention_mask, …)` with ids [B, L], or a ragged `Batch`, `model(batch)`.
From a grid come [B, L, …], from a ragged batch [T, …]; what belongs to a row is [B, …] for both.
"""

from electra.models.base import ElectraPreTrainedModel as ElectraPreTrainedModel
from electra.models.electra_model import ElectraModel as ElectraModel
from electra.models.joint_question_answering_model import (
    ElectraForJointQuestionAnswering as ElectraForJointQuestionAnswering,
)
from electra.models.language_models import ElectraForCausalLM as ElectraForCausalLM
from electra.models.language_models import ElectraForMaskedLM as ElectraForMaskedLM
from electra.models.language_models import ElectraForPreTraining as ElectraForPreTraining
from electra.models.task_models import ElectraForMultipleChoice as ElectraForMultipleChoice
from electra.models.task_models import ElectraForQuestionAnswering as ElectraForQuestionAnswering
from electra.models.task_models import ElectraForSequenceClassification as ElectraForSequenceClassification
from electra.models.task_models import ElectraForTokenClassification as ElectraForTokenClassification
from electra.nn.encoder import ElectraForPreTrainingOutput as ElectraForPreTrainingOutput
