#!/usr/bin/env bash
# The judge as a server on one node, for trainers that speak SandboxFusion's protocol:
#
#   sbatch examples/cluster/slurm_server.sh
#
# Its address is in coderlplus-server.address, and the token that clients send in coderlplus-server.token.
#SBATCH --job-name=coderlplus-server
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@180
set -euo pipefail

folder=${SLURM_SUBMIT_DIR:-$PWD}
port=${PORT:-8080}
umask 077
if [ ! -s "$folder/coderlplus-server.token" ]; then
    openssl rand -hex 16 > "$folder/coderlplus-server.token"
fi
CODERLPLUS_TOKEN=$(cat "$folder/coderlplus-server.token")
export CODERLPLUS_TOKEN
echo "http://$(hostname):$port" > "$folder/coderlplus-server.address"

# exec: the signal at the end of the time reaches the server, which answers what it accepted
exec coderlplus serve --host 0.0.0.0 --port "$port" --workers "${SLURM_CPUS_PER_TASK:-32}"
