# The same environment for login shells that did not come through PAM.
set -a
. /etc/environment
set +a
