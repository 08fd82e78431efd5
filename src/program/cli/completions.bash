
# Completes the handler that is being typed in a mix: 20:delay,5:er. Fails where no mix with percentages is being typed.
FUNCTION_mix() {
    local at=$COMP_CWORD word="${COMP_WORDS[COMP_CWORD]}" mix="${COMP_WORDS[COMP_CWORD]}"
    # Bash splits words at colons.
    while ((at > 1)) && [[ "${COMP_WORDS[at]}" == :* || "${COMP_WORDS[at - 1]}" == *: ]]; do
        ((at--))
        mix="${COMP_WORDS[at]}$mix"
    done
    [[ "${COMP_WORDS[at - 1]}" == = ]] && ((at--))
    [[ "$mix" == *[:,]* && "${COMP_WORDS[at - 1]}" =~ ^--(handler|behavior)$ ]] || return 1
    COMPREPLY=()
    # Behind a comma a percentage is missing.
    if [[ "${mix##*,}" == *:* ]]; then
        local before=""
        [[ "$word" == *:?* || "$word" == ?*: ]] && before="${word%:*}:"
        COMPREPLY=( $(compgen -P "$before" -W "HANDLERS" -- "${mix##*:}") )
    fi
}

FUNCTION_or_command() {
    local at
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ "${COMP_WORDS[at]}" == -- ]]; then
            COMPREPLY=()
            if ((at + 1 == COMP_CWORD)); then
                COMPREPLY=( $(compgen -c -- "${COMP_WORDS[COMP_CWORD]}") )
            fi
            # Where there is nothing, bash completes files.
            return 0
        fi
    done
    FUNCTION_mix || FUNCTION "$@"
}

complete -F FUNCTION_or_command -o bashdefault -o default PROGRAM
