# What vaurien runs while a block or a test in Python uses its proxy, which $1 names. It tells the addresses and the seed, and ends at
# a line or the end of standard input, as that of a Python process that has ended. By hand: end it with Enter.
echo "$VAURIEN_PROXY $VAURIEN_HTTP $VAURIEN_SEED"
read -r _
exit 0
