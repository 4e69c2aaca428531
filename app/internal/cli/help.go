package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command by example",
		Example: "  moorage help mount",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if len(args) == 0 {
				for _, c := range cmd.Root().Commands() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("There is no command %q.", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// completionHelp makes the command completion, which cobra brings, refuse what is
// no shell.
func completionHelp(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	c.Short = "Write the completion script of a shell"
	c.Example = `  source <(moorage completion bash)
  moorage completion zsh > "${fpath[1]}/_moorage"
  moorage completion fish > ~/.config/fish/completions/moorage.fish
  moorage completion powershell | Out-String | Invoke-Expression`
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("%q is no shell. There is bash, zsh, fish and powershell.", args[0])
		}
		return cmd.Help()
	}
}
