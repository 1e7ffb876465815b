"""`make soak`: a server is killed, reloaded and restarted for a while; exits with 1 unless its journal adds up.

usage: python -m benchmarks.soak [MINUTES]   (default: 20)
"""

import sys

from benchmarks.serving.soak import report

if __name__ == "__main__":
    page, is_good = report(60 * float(sys.argv[1] if len(sys.argv) > 1 else 20))
    print(page)
    sys.exit(0 if is_good else 1)
