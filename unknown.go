package slidingjwt

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// refuseUnknown reports every option that does not exist, at any depth, with the nearest one that does.
func refuseUnknown(p *problems, c *Config) {
	unknownIn(p, "", c.Unknown, *c)
	for i, trusted := range c.TrustedIssuers {
		unknownIn(p, fmt.Sprintf("trustedIssuers[%d].", i), trusted.Unknown, trusted)
	}
	unknownIn(p, "cookie.", c.Cookie.Unknown, c.Cookie)
	unknownIn(p, "renew.", c.Renew.Unknown, c.Renew)
	unknownIn(p, "issue.", c.Issue.Unknown, c.Issue)
	unknownIn(p, "exchange.", c.Exchange.Unknown, c.Exchange)
	unknownIn(p, "logout.", c.Logout.Unknown, c.Logout)
	unknownIn(p, "clientConfig.", c.ClientConfig.Unknown, c.ClientConfig)
	unknownIn(p, "clientConfig.tls.", c.ClientConfig.TLS.Unknown, c.ClientConfig.TLS)
}

func unknownIn(p *problems, prefix string, unknown map[string]any, options any) {
	names := make([]string, 0, len(unknown))
	for name := range unknown {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if near := nearest(name, options); near != "" {
			p.add("unknown option %s (did you mean %s%s?)", logline.Quote(prefix+name), prefix, near)
			continue
		}
		p.add("unknown option %s", logline.Quote(prefix+name))
	}
}

// nearest returns the option whose name is nearest to the given one, in edits; empty if it takes more edits than a third of the
// name's length, since then it is not a typing error.
func nearest(name string, options any) string {
	best, least := "", len(name)/3+2
	kind := reflect.TypeOf(options)
	for i := 0; i < kind.NumField(); i++ {
		option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		if option == "" { // The field that collects unknown options.
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(option)); d < least {
			best, least = option, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			if row[j]+1 < cost {
				cost = row[j] + 1
			}
			if row[j-1]+1 < cost {
				cost = row[j-1] + 1
			}
			row[j] = cost
		}
	}
	return row[len(b)]
}
