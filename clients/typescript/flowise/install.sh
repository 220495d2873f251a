#!/bin/sh
# Lays the nodes over a Flowise. Restart Flowise afterwards.
#
#   install.sh                              finds Flowise in the usual places
#   install.sh /path/to/flowise-components  says where
#   install.sh --replace [PATH]             also takes the place of the stock Fireworks nodes
set -eu

replace=
if [ "${1:-}" = --replace ]; then
    replace=yes
    shift
fi

# The package's own folder, also where npm runs this through a link.
here=$(dirname "$(readlink -f "$0")")

found=
for place in "$@" \
    ./node_modules/flowise-components \
    /usr/local/lib/node_modules/flowise/node_modules/flowise-components \
    /usr/local/lib/node_modules/flowise-components \
    /usr/src/packages/components \
    /usr/src/flowise/packages/components; do
    if [ -d "$place/dist/nodes" ]; then
        found=$place
        break
    fi
    # A place that was named must be the right one.
    [ $# -eq 0 ] || break
done
if [ -z "$found" ]; then
    echo "no flowise-components with dist/nodes was found${1:+ in $1}; name its folder: $0 /path/to/flowise-components" >&2
    exit 1
fi

cp -R "$here/dist/." "$found/dist/"
[ -z "$replace" ] || cp -R "$here/replace/." "$found/dist/"
echo "the Sparkler nodes are in $found/dist${replace:+, and the stock Fireworks nodes use it}; restart Flowise with SPARKLER_WORKER set"
