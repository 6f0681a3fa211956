from .assumptions import ASSUMPTIONS as ASSUMPTIONS
from .tables import BENIGN as BENIGN
from .tables import MALIGNANT as MALIGNANT
from .tables import NETWORK_TITLES as NETWORK_TITLES
from .tables import NETWORKS as NETWORKS
from .tables import PAPER_TRIALS as PAPER_TRIALS
from .tables import REPORTED as REPORTED
from .tables import PaperTrial as PaperTrial
