"""Imports, once, what nearly every command imports: processes are forked from one that has it."""

import atexit
import gc

import albumentations  # noqa: F401
import alembic.autogenerate  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking  # noqa: F401
import optuna  # noqa: F401
import pydicom  # noqa: F401
import pytorch_lightning  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torchvision.models  # noqa: F401

import mcalc.data.images.prepare
import mcalc.data.phantom.download
import mcalc.report.writing
import mcalc.sweep.engine
import mcalc.trials.runner  # noqa: F401

# what is forked would go through a million objects at each look for garbage
gc.freeze()
# else extension modules take what is left at the end for leaks
atexit.register(gc.unfreeze)
