"""One batch through Census, safely: from attempt to outcome."""
