from .backbones import BACKBONES as BACKBONES
from .backbones import build_classifier as build_classifier
from .classifier import Classifier as Classifier
from .weight_path import weight_path as weight_path
