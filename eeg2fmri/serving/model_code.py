"""The file that MLflow stores with every model and runs to load it (models from code, no pickle)."""

from mlflow.models import set_model

from eeg2fmri.serving.pyfunc import SynthesiserModel

set_model(SynthesiserModel())
