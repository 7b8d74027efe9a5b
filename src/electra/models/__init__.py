"""ElectraModel and ElectraFor*: the encoder, a head and a loss, with transformers' calls.

Each takes either a grid, `model(input_ids, attention_mask, …)` with ids [B, L], or a ragged `Batch`, `model(batch)`.
From a grid come [B, L, …], from a ragged batch [T, …]; what belongs to a row is [B, …] for both.
"""

from electra.models.base import ElectraPreTrainedModel as ElectraPreTrainedModel
from electra.models.classification import ElectraForMultipleChoice as ElectraForMultipleChoice
from electra.models.classification import ElectraForQuestionAnswering as ElectraForQuestionAnswering
from electra.models.classification import ElectraForSequenceClassification as ElectraForSequenceClassification
from electra.models.classification import ElectraForTokenClassification as ElectraForTokenClassification
from electra.models.encoder import ElectraModel as ElectraModel
from electra.models.joint_question_answering import ElectraForJointQuestionAnswering as ElectraForJointQuestionAnswering
from electra.models.language import ElectraForCausalLM as ElectraForCausalLM
from electra.models.language import ElectraForMaskedLM as ElectraForMaskedLM
from electra.models.language import ElectraForPreTraining as ElectraForPreTraining
from electra.nn.outputs import ElectraForPreTrainingOutput as ElectraForPreTrainingOutput
