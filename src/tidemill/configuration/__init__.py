"""Settings from one file and the environment, each value with where it was said.

    sections   what may be set, as frozen values
    document   YAML as a tree whose every part knows its line and column
    given      the file's tree and the environment's variables as one set of given values
    loading    given values → sections, and everything that is wrong with them

The environment wins over the file; flags win over both, which is the command line's part.
"""

from tidemill.configuration.loading import VARIABLE, Loaded, Value, find, load
from tidemill.configuration.sections import Configuration, Jwt

__all__ = ["VARIABLE", "Configuration", "Jwt", "Loaded", "Value", "find", "load"]
