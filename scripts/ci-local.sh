#!/usr/bin/env bash
# Everything that must hold before a change lands, on this machine: the same as the gate.
exec bash "$(dirname "$0")/../.ci/run" "$@"
